CREATE TRIGGER kf_entry_insert BEFORE INSERT ON kf_entry WHEN NEW.position <> COALESCE((SELECT MAX(position) FROM kf_entry), COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0)) + 1 OR EXISTS (SELECT 1 FROM kf_entry WHERE stream = NEW.stream AND version = NEW.version) BEGIN SELECT RAISE(ABORT, 'kf_entry: the next position is the last one plus 1, and no version of a stream comes twice'); END

CREATE TRIGGER kf_entry_update BEFORE UPDATE ON kf_entry BEGIN SELECT RAISE(ABORT, 'kf_entry is append-only: no UPDATE'); END

CREATE TRIGGER kf_entry_delete BEFORE DELETE ON kf_entry WHEN OLD.position > COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) BEGIN SELECT RAISE(ABORT, 'kf_entry is append-only: DELETE only up to kf_archive_mark'); END

CREATE TRIGGER kf_payload_insert BEFORE INSERT ON kf_payload WHEN EXISTS (SELECT 1 FROM kf_payload WHERE position = NEW.position) BEGIN SELECT RAISE(ABORT, 'kf_payload: this position has a payload'); END

CREATE TRIGGER kf_payload_update BEFORE UPDATE ON kf_payload WHEN NEW.position IS NOT OLD.position OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL BEGIN SELECT RAISE(ABORT, 'kf_payload: only salt and body can be cleared, together'); END

CREATE TRIGGER kf_payload_delete BEFORE DELETE ON kf_payload WHEN OLD.position > COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) BEGIN SELECT RAISE(ABORT, 'kf_payload: DELETE only up to kf_archive_mark'); END

CREATE TRIGGER kf_name_insert BEFORE INSERT ON kf_name WHEN EXISTS (SELECT 1 FROM kf_name WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM kf_name WHERE corp_id = NEW.corp_id AND kind = NEW.kind AND folded = NEW.folded) BEGIN SELECT RAISE(ABORT, 'kf_name: this name exists'); END

CREATE TRIGGER kf_name_update BEFORE UPDATE ON kf_name WHEN NEW.id IS NOT OLD.id OR NEW.corp_id IS NOT OLD.corp_id OR NEW.kind IS NOT OLD.kind OR NEW.commitment IS NOT OLD.commitment OR NEW.salt IS NOT NULL OR NEW.value IS NOT NULL OR NEW.folded IS NOT NULL BEGIN SELECT RAISE(ABORT, 'kf_name: only salt, value and folded can be cleared, together'); END

CREATE TRIGGER kf_name_delete BEFORE DELETE ON kf_name BEGIN SELECT RAISE(ABORT, 'kf_name is append-only: no DELETE'); END

CREATE TRIGGER kf_stream_insert BEFORE INSERT ON kf_stream WHEN EXISTS (SELECT 1 FROM kf_stream WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM kf_stream WHERE corp_id = NEW.corp_id AND kind = NEW.kind AND open_kfid = NEW.open_kfid AND customer = NEW.customer AND servicer = NEW.servicer) BEGIN SELECT RAISE(ABORT, 'kf_stream: this stream exists'); END

CREATE TRIGGER kf_log_head_insert BEFORE INSERT ON kf_log_head WHEN EXISTS (SELECT 1 FROM kf_log_head) BEGIN SELECT RAISE(ABORT, 'kf_log_head has one row'); END

CREATE TRIGGER kf_pull_insert BEFORE INSERT ON kf_pull WHEN EXISTS (SELECT 1 FROM kf_pull WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'kf_pull: this pull exists'); END

CREATE TRIGGER kf_machine_insert BEFORE INSERT ON kf_machine WHEN EXISTS (SELECT 1 FROM kf_machine WHERE fingerprint = NEW.fingerprint) BEGIN SELECT RAISE(ABORT, 'kf_machine: this machine exists'); END

CREATE TRIGGER kf_archive_mark_insert BEFORE INSERT ON kf_archive_mark WHEN NEW.position <= COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) OR NOT EXISTS (SELECT 1 FROM kf_entry WHERE position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at) BEGIN SELECT RAISE(ABORT, 'kf_archive_mark only grows, to an entry and its chain'); END

CREATE TRIGGER kf_stream_update BEFORE UPDATE ON kf_stream BEGIN SELECT RAISE(ABORT, 'kf_stream is append-only: no UPDATE'); END

CREATE TRIGGER kf_stream_delete BEFORE DELETE ON kf_stream BEGIN SELECT RAISE(ABORT, 'kf_stream is append-only: no DELETE'); END

CREATE TRIGGER kf_log_head_update BEFORE UPDATE ON kf_log_head BEGIN SELECT RAISE(ABORT, 'kf_log_head is append-only: no UPDATE'); END

CREATE TRIGGER kf_log_head_delete BEFORE DELETE ON kf_log_head BEGIN SELECT RAISE(ABORT, 'kf_log_head is append-only: no DELETE'); END

CREATE TRIGGER kf_pull_update BEFORE UPDATE ON kf_pull BEGIN SELECT RAISE(ABORT, 'kf_pull is append-only: no UPDATE'); END

CREATE TRIGGER kf_pull_delete BEFORE DELETE ON kf_pull BEGIN SELECT RAISE(ABORT, 'kf_pull is append-only: no DELETE'); END

CREATE TRIGGER kf_machine_update BEFORE UPDATE ON kf_machine BEGIN SELECT RAISE(ABORT, 'kf_machine is append-only: no UPDATE'); END

CREATE TRIGGER kf_machine_delete BEFORE DELETE ON kf_machine BEGIN SELECT RAISE(ABORT, 'kf_machine is append-only: no DELETE'); END

CREATE TRIGGER kf_archive_mark_update BEFORE UPDATE ON kf_archive_mark BEGIN SELECT RAISE(ABORT, 'kf_archive_mark is append-only: no UPDATE'); END

CREATE TRIGGER kf_archive_mark_delete BEFORE DELETE ON kf_archive_mark BEGIN SELECT RAISE(ABORT, 'kf_archive_mark is append-only: no DELETE'); END
