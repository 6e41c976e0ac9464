DROP TRIGGER IF EXISTS kf_payload_insert

CREATE TRIGGER kf_payload_insert BEFORE INSERT ON kf_payload FOR EACH ROW IF NEW.position > COALESCE((SELECT MAX(position) FROM kf_entry), 0) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_payload: this position has no entry'; END IF

DROP TRIGGER IF EXISTS kf_identity_update

CREATE TRIGGER kf_identity_update BEFORE UPDATE ON kf_identity FOR EACH ROW IF NOT NEW.day <=> OLD.day OR NOT NEW.entry_key <=> OLD.entry_key OR NOT NEW.position <=> OLD.position OR NEW.content IS NOT NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_identity: only content can be cleared'; END IF

DROP TRIGGER IF EXISTS kf_identity_delete

CREATE TRIGGER kf_identity_delete BEFORE DELETE ON kf_identity FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kf_identity is append-only: no DELETE'
