CREATE OR REPLACE FUNCTION kf_payload_follows() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF (SELECT MAX(position) FROM added_rows) > COALESCE((SELECT MAX(position) FROM kf_entry), 0) THEN RAISE EXCEPTION 'kf_payload: this position has no entry' USING ERRCODE = '23514'; END IF; RETURN NULL; END$$

CREATE OR REPLACE FUNCTION kf_identity_clears() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN IF NEW.day IS DISTINCT FROM OLD.day OR NEW.entry_key IS DISTINCT FROM OLD.entry_key OR NEW.position IS DISTINCT FROM OLD.position OR NEW.content IS NOT NULL THEN RAISE EXCEPTION 'kf_identity: only content can be cleared' USING ERRCODE = '23514'; END IF; RETURN NEW; END$$

CREATE TRIGGER kf_payload_insert AFTER INSERT ON kf_payload REFERENCING NEW TABLE AS added_rows FOR EACH STATEMENT EXECUTE FUNCTION kf_payload_follows()

ALTER TABLE kf_payload ENABLE ALWAYS TRIGGER kf_payload_insert

CREATE TRIGGER kf_identity_update BEFORE UPDATE ON kf_identity FOR EACH ROW EXECUTE FUNCTION kf_identity_clears()

ALTER TABLE kf_identity ENABLE ALWAYS TRIGGER kf_identity_update

CREATE TRIGGER kf_identity_truncate BEFORE TRUNCATE ON kf_identity FOR EACH STATEMENT EXECUTE FUNCTION kf_refuse('kf_identity is append-only: no TRUNCATE')

ALTER TABLE kf_identity ENABLE ALWAYS TRIGGER kf_identity_truncate

CREATE TRIGGER kf_identity_delete BEFORE DELETE ON kf_identity FOR EACH ROW EXECUTE FUNCTION kf_refuse('kf_identity is append-only: no DELETE')

ALTER TABLE kf_identity ENABLE ALWAYS TRIGGER kf_identity_delete
