DROP TRIGGER IF EXISTS kf_entry_insert

CREATE TRIGGER kf_entry_insert BEFORE INSERT ON kf_entry FOR EACH ROW IF NEW.position <> COALESCE((SELECT MAX(position) FROM kf_entry), COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0)) + 1 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_entry: the next position is the last one plus 1'; END IF

DROP TRIGGER IF EXISTS kf_entry_delete

CREATE TRIGGER kf_entry_delete BEFORE DELETE ON kf_entry FOR EACH ROW IF OLD.position > COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_entry: DELETE only up to kf_archive_mark'; END IF

DROP TRIGGER IF EXISTS kf_payload_delete

CREATE TRIGGER kf_payload_delete BEFORE DELETE ON kf_payload FOR EACH ROW IF OLD.position > COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_payload: DELETE only up to kf_archive_mark'; END IF

DROP TRIGGER IF EXISTS kf_payload_update

CREATE TRIGGER kf_payload_update BEFORE UPDATE ON kf_payload FOR EACH ROW IF NOT NEW.position <=> OLD.position OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_payload: only salt and body can be cleared, together'; END IF

DROP TRIGGER IF EXISTS kf_name_update

CREATE TRIGGER kf_name_update BEFORE UPDATE ON kf_name FOR EACH ROW IF NOT NEW.id <=> OLD.id OR NOT NEW.corp_id <=> OLD.corp_id OR NOT NEW.kind <=> OLD.kind OR NOT NEW.commitment <=> OLD.commitment OR NEW.salt IS NOT NULL OR NEW.value IS NOT NULL OR NEW.folded IS NOT NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_name: only salt, value and folded can be cleared, together'; END IF

DROP TRIGGER IF EXISTS kf_log_head_insert

CREATE TRIGGER kf_log_head_insert BEFORE INSERT ON kf_log_head FOR EACH ROW IF EXISTS (SELECT 1 FROM kf_log_head) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_log_head has one row'; END IF

DROP TRIGGER IF EXISTS kf_archive_mark_insert

CREATE TRIGGER kf_archive_mark_insert BEFORE INSERT ON kf_archive_mark FOR EACH ROW IF NEW.position <= COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) OR NOT EXISTS (SELECT 1 FROM kf_entry WHERE position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_archive_mark only grows, to an entry and its chain'; END IF

DROP TRIGGER IF EXISTS kf_entry_update

CREATE TRIGGER kf_entry_update BEFORE UPDATE ON kf_entry FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_entry is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_stream_update

CREATE TRIGGER kf_stream_update BEFORE UPDATE ON kf_stream FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_stream is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_log_head_update

CREATE TRIGGER kf_log_head_update BEFORE UPDATE ON kf_log_head FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_log_head is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_pull_update

CREATE TRIGGER kf_pull_update BEFORE UPDATE ON kf_pull FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_pull is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_machine_update

CREATE TRIGGER kf_machine_update BEFORE UPDATE ON kf_machine FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_machine is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_archive_mark_update

CREATE TRIGGER kf_archive_mark_update BEFORE UPDATE ON kf_archive_mark FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_archive_mark is append-only: no UPDATE'

DROP TRIGGER IF EXISTS kf_name_delete

CREATE TRIGGER kf_name_delete BEFORE DELETE ON kf_name FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_name is append-only: no DELETE'

DROP TRIGGER IF EXISTS kf_stream_delete

CREATE TRIGGER kf_stream_delete BEFORE DELETE ON kf_stream FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_stream is append-only: no DELETE'

DROP TRIGGER IF EXISTS kf_log_head_delete

CREATE TRIGGER kf_log_head_delete BEFORE DELETE ON kf_log_head FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_log_head is append-only: no DELETE'

DROP TRIGGER IF EXISTS kf_pull_delete

CREATE TRIGGER kf_pull_delete BEFORE DELETE ON kf_pull FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_pull is append-only: no DELETE'

DROP TRIGGER IF EXISTS kf_machine_delete

CREATE TRIGGER kf_machine_delete BEFORE DELETE ON kf_machine FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_machine is append-only: no DELETE'

DROP TRIGGER IF EXISTS kf_archive_mark_delete

CREATE TRIGGER kf_archive_mark_delete BEFORE DELETE ON kf_archive_mark FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_archive_mark is append-only: no DELETE'
