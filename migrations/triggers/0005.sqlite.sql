DROP TRIGGER kf_payload_insert

CREATE TRIGGER kf_payload_insert BEFORE INSERT ON kf_payload WHEN NEW.position > COALESCE((SELECT MAX(position) FROM kf_entry), 0) OR EXISTS (SELECT 1 FROM kf_payload WHERE position = NEW.position) BEGIN SELECT RAISE(ABORT, 'kf_payload: this position has a payload, or no entry'); END

CREATE TRIGGER kf_identity_insert BEFORE INSERT ON kf_identity WHEN EXISTS (SELECT 1 FROM kf_identity WHERE day = NEW.day AND entry_key = NEW.entry_key AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'kf_identity: this identity exists'); END

CREATE TRIGGER kf_identity_update BEFORE UPDATE ON kf_identity WHEN NEW.day IS NOT OLD.day OR NEW.entry_key IS NOT OLD.entry_key OR NEW.position IS NOT OLD.position OR NEW.content IS NOT NULL BEGIN SELECT RAISE(ABORT, 'kf_identity: only content can be cleared'); END

CREATE TRIGGER kf_identity_delete BEFORE DELETE ON kf_identity BEGIN SELECT RAISE(ABORT, 'kf_identity is append-only: no DELETE'); END
