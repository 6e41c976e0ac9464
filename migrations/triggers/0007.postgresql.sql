CREATE TRIGGER kf_access_truncate BEFORE TRUNCATE ON kf_access FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_access is append-only: no TRUNCATE')

ALTER TABLE kf_access ENABLE ALWAYS TRIGGER kf_access_truncate

CREATE TRIGGER kf_access_update BEFORE UPDATE ON kf_access FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_access is append-only: no UPDATE')

ALTER TABLE kf_access ENABLE ALWAYS TRIGGER kf_access_update

CREATE TRIGGER kf_access_delete BEFORE DELETE ON kf_access FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_access is append-only: no DELETE')

ALTER TABLE kf_access ENABLE ALWAYS TRIGGER kf_access_delete
