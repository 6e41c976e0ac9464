CREATE OR REPLACE FUNCTION kf_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = '23514'; END$$

CREATE OR REPLACE FUNCTION kf_entry_follows() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$DECLARE added bigint; lowest bigint; highest bigint; BEGIN SELECT COUNT(*), MIN(position), MAX(position) INTO added, lowest, highest FROM added_rows; IF added > 0 AND (highest - lowest + 1 <> added OR lowest <> COALESCE((SELECT MAX(position) FROM kf_entry WHERE position < lowest), (SELECT MAX(position) FROM kf_archive_mark), 0) + 1) THEN RAISE EXCEPTION 'kf_entry: the next position is the last one plus 1' USING ERRCODE = '23514'; END IF; RETURN NULL; END$$

CREATE OR REPLACE FUNCTION kf_unarchived_stays() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF OLD.position > COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) THEN RAISE EXCEPTION '%: DELETE only up to kf_archive_mark', TG_TABLE_NAME USING ERRCODE = '23514'; END IF; RETURN OLD; END$$

CREATE OR REPLACE FUNCTION kf_payload_clears() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF NEW.position IS DISTINCT FROM OLD.position OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL THEN RAISE EXCEPTION 'kf_payload: only salt and body can be cleared, together' USING ERRCODE = '23514'; END IF; RETURN NEW; END$$

CREATE OR REPLACE FUNCTION kf_name_clears() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF NEW.id IS DISTINCT FROM OLD.id OR NEW.corp_id IS DISTINCT FROM OLD.corp_id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.commitment IS DISTINCT FROM OLD.commitment OR NEW.salt IS NOT NULL OR NEW.value IS NOT NULL OR NEW.folded IS NOT NULL THEN RAISE EXCEPTION 'kf_name: only salt, value and folded can be cleared, together' USING ERRCODE = '23514'; END IF; RETURN NEW; END$$

CREATE OR REPLACE FUNCTION kf_log_head_is_one() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF EXISTS (SELECT 1 FROM kf_log_head) THEN RAISE EXCEPTION 'kf_log_head has one row' USING ERRCODE = '23514'; END IF; RETURN NEW; END$$

CREATE OR REPLACE FUNCTION kf_archive_mark_grows() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF NEW.position <= COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) OR NOT EXISTS (SELECT 1 FROM kf_entry WHERE position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at) THEN RAISE EXCEPTION 'kf_archive_mark only grows, to an entry and its chain' USING ERRCODE = '23514'; END IF; RETURN NEW; END$$

CREATE TRIGGER kf_entry_insert AFTER INSERT ON kf_entry REFERENCING NEW TABLE AS added_rows FOR EACH STATEMENT EXECUTE FUNCTION kf_entry_follows()

ALTER TABLE kf_entry ENABLE ALWAYS TRIGGER kf_entry_insert

CREATE TRIGGER kf_log_head_insert BEFORE INSERT ON kf_log_head FOR EACH ROW EXECUTE FUNCTION kf_log_head_is_one()

ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_insert

CREATE TRIGGER kf_archive_mark_insert BEFORE INSERT ON kf_archive_mark FOR EACH ROW EXECUTE FUNCTION kf_archive_mark_grows()

ALTER TABLE kf_archive_mark ENABLE ALWAYS TRIGGER kf_archive_mark_insert

CREATE TRIGGER kf_payload_update BEFORE UPDATE ON kf_payload FOR EACH ROW EXECUTE FUNCTION kf_payload_clears()

ALTER TABLE kf_payload ENABLE ALWAYS TRIGGER kf_payload_update

CREATE TRIGGER kf_name_update BEFORE UPDATE ON kf_name FOR EACH ROW EXECUTE FUNCTION kf_name_clears()

ALTER TABLE kf_name ENABLE ALWAYS TRIGGER kf_name_update

CREATE TRIGGER kf_entry_truncate BEFORE TRUNCATE ON kf_entry FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_entry is append-only: no TRUNCATE')

ALTER TABLE kf_entry ENABLE ALWAYS TRIGGER kf_entry_truncate

CREATE TRIGGER kf_entry_update BEFORE UPDATE ON kf_entry FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_entry is append-only: no UPDATE')

ALTER TABLE kf_entry ENABLE ALWAYS TRIGGER kf_entry_update

CREATE TRIGGER kf_entry_delete BEFORE DELETE ON kf_entry FOR EACH ROW EXECUTE FUNCTION kf_unarchived_stays()

ALTER TABLE kf_entry ENABLE ALWAYS TRIGGER kf_entry_delete

CREATE TRIGGER kf_payload_truncate BEFORE TRUNCATE ON kf_payload FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_payload is append-only: no TRUNCATE')

ALTER TABLE kf_payload ENABLE ALWAYS TRIGGER kf_payload_truncate

CREATE TRIGGER kf_payload_delete BEFORE DELETE ON kf_payload FOR EACH ROW EXECUTE FUNCTION kf_unarchived_stays()

ALTER TABLE kf_payload ENABLE ALWAYS TRIGGER kf_payload_delete

CREATE TRIGGER kf_name_truncate BEFORE TRUNCATE ON kf_name FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_name is append-only: no TRUNCATE')

ALTER TABLE kf_name ENABLE ALWAYS TRIGGER kf_name_truncate

CREATE TRIGGER kf_name_delete BEFORE DELETE ON kf_name FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_name is append-only: no DELETE')

ALTER TABLE kf_name ENABLE ALWAYS TRIGGER kf_name_delete

CREATE TRIGGER kf_stream_truncate BEFORE TRUNCATE ON kf_stream FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_stream is append-only: no TRUNCATE')

ALTER TABLE kf_stream ENABLE ALWAYS TRIGGER kf_stream_truncate

CREATE TRIGGER kf_stream_update BEFORE UPDATE ON kf_stream FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_stream is append-only: no UPDATE')

ALTER TABLE kf_stream ENABLE ALWAYS TRIGGER kf_stream_update

CREATE TRIGGER kf_stream_delete BEFORE DELETE ON kf_stream FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_stream is append-only: no DELETE')

ALTER TABLE kf_stream ENABLE ALWAYS TRIGGER kf_stream_delete

CREATE TRIGGER kf_log_head_truncate BEFORE TRUNCATE ON kf_log_head FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_log_head is append-only: no TRUNCATE')

ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_truncate

CREATE TRIGGER kf_log_head_update BEFORE UPDATE ON kf_log_head FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_log_head is append-only: no UPDATE')

ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_update

CREATE TRIGGER kf_log_head_delete BEFORE DELETE ON kf_log_head FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_log_head is append-only: no DELETE')

ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_delete

CREATE TRIGGER kf_pull_truncate BEFORE TRUNCATE ON kf_pull FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_pull is append-only: no TRUNCATE')

ALTER TABLE kf_pull ENABLE ALWAYS TRIGGER kf_pull_truncate

CREATE TRIGGER kf_pull_update BEFORE UPDATE ON kf_pull FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_pull is append-only: no UPDATE')

ALTER TABLE kf_pull ENABLE ALWAYS TRIGGER kf_pull_update

CREATE TRIGGER kf_pull_delete BEFORE DELETE ON kf_pull FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_pull is append-only: no DELETE')

ALTER TABLE kf_pull ENABLE ALWAYS TRIGGER kf_pull_delete

CREATE TRIGGER kf_machine_truncate BEFORE TRUNCATE ON kf_machine FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_machine is append-only: no TRUNCATE')

ALTER TABLE kf_machine ENABLE ALWAYS TRIGGER kf_machine_truncate

CREATE TRIGGER kf_machine_update BEFORE UPDATE ON kf_machine FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_machine is append-only: no UPDATE')

ALTER TABLE kf_machine ENABLE ALWAYS TRIGGER kf_machine_update

CREATE TRIGGER kf_machine_delete BEFORE DELETE ON kf_machine FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_machine is append-only: no DELETE')

ALTER TABLE kf_machine ENABLE ALWAYS TRIGGER kf_machine_delete

CREATE TRIGGER kf_archive_mark_truncate BEFORE TRUNCATE ON kf_archive_mark FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_archive_mark is append-only: no TRUNCATE')

ALTER TABLE kf_archive_mark ENABLE ALWAYS TRIGGER kf_archive_mark_truncate

CREATE TRIGGER kf_archive_mark_update BEFORE UPDATE ON kf_archive_mark FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_archive_mark is append-only: no UPDATE')

ALTER TABLE kf_archive_mark ENABLE ALWAYS TRIGGER kf_archive_mark_update

CREATE TRIGGER kf_archive_mark_delete BEFORE DELETE ON kf_archive_mark FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_archive_mark is append-only: no DELETE')

ALTER TABLE kf_archive_mark ENABLE ALWAYS TRIGGER kf_archive_mark_delete
