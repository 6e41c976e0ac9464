DROP TRIGGER IF EXISTS kf_access_update

CREATE TRIGGER kf_access_update BEFORE UPDATE ON kf_access FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_access is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_access_delete

CREATE TRIGGER kf_access_delete BEFORE DELETE ON kf_access FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_access is append-only: no DELETE'
