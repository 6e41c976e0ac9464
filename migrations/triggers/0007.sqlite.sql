CREATE TRIGGER kf_access_insert BEFORE INSERT ON kf_access WHEN EXISTS (SELECT 1 FROM kf_access WHERE accessed_at = NEW.accessed_at AND id = NEW.id) BEGIN SELECT RAISE(ABORT, 'kf_access: this access exists'); END

CREATE TRIGGER kf_access_update BEFORE UPDATE ON kf_access BEGIN SELECT RAISE(ABORT, 'kf_access is append-only: no UPDATE'); END

CREATE TRIGGER kf_access_delete BEFORE DELETE ON kf_access BEGIN SELECT RAISE(ABORT, 'kf_access is append-only: no DELETE'); END
