-- What a service holds after a million scans (:n), half of them another organisation's: a scan every minute,
-- ten scans a person, one in 30 refused, one in 1000 cancelled; at the end a queue of 400, and two at work.
INSERT INTO organisations (id, name, created_at) VALUES ('11111111-1111-4111-8111-111111111111', 'north', now());

INSERT INTO users (id, organisation_id, username, password_hash, role, created_at)
SELECT md5('user' || g)::uuid, CASE g % 2 WHEN 0 THEN '00000000-0000-4000-8000-000000000000' ELSE '11111111-1111-4111-8111-111111111111' END,
       'person-' || g, 'none', 'clinician', now() - g * interval '1 hour'
FROM generate_series(1, 6000) g;

INSERT INTO api_keys (id, organisation_id, name, prefix, key_hash, scopes, user_id, created_at)
SELECT md5('key' || g)::uuid, CASE g % 2 WHEN 0 THEN '00000000-0000-4000-8000-000000000000' ELSE '11111111-1111-4111-8111-111111111111' END,
       'program ' || g, 'rnk_' || left(md5('key' || g), 8), encode(sha256(('key' || g)::bytea), 'hex'), 'scans:read',
       md5('user' || g)::uuid, now() - g * interval '1 hour'
FROM generate_series(1, 6000) g;

INSERT INTO scans (id, organisation_id, sha256, stored_sha256, emptied_fields, size_bytes, display_name, storage_key, subject_id,
                   age_years, sex, site, header, uploaded_by, created_at)
SELECT md5('scan' || g)::uuid, CASE g % 2 WHEN 0 THEN '00000000-0000-4000-8000-000000000000' ELSE '11111111-1111-4111-8111-111111111111' END,
       encode(sha256(g::text::bytea), 'hex'), encode(sha256(('stored' || g)::bytea), 'hex'), '[]', 33000000,
       'rest_' || g || '.nii.gz', 'scans/' || left(md5('scan' || g), 2) || '/' || md5('scan' || g)::uuid || '.nii.gz',
       'sub-' || g / 20 * 2 + g % 2, 10, NULL, NULL,
       '{"shape": [49, 58, 47, 172], "zooms_mm": [4.0, 4.0, 4.0], "tr_s": 2.0, "n_frames": 172}',
       md5('user' || g % 6000 + 1)::uuid, now() - (:n - g) * interval '1 minute'
FROM generate_series(1, :n) g;

INSERT INTO predictions (id, organisation_id, scan_id, model_version_id, state, progress, attempts, max_attempts, cancel_requested,
                         error_code, error_message, created_at, queued_at, published_at, started_at, finished_at, timing, requested_by)
SELECT md5('prediction' || g)::uuid, organisation_id, scan_id, CASE state WHEN 'succeeded' THEN model_version END, state,
       CASE state WHEN 'succeeded' THEN 1 ELSE 0 END, CASE state WHEN 'queued' THEN 0 ELSE 1 END, 3, state = 'cancelled',
       CASE state WHEN 'failed' THEN 'too_few_frames' END, CASE state WHEN 'failed' THEN 'expected 20 frames, found 10' END,
       created_at, created_at, created_at,
       CASE WHEN state <> 'queued' THEN created_at + interval '1 second' END,
       CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN created_at + interval '2 seconds' END,
       CASE state WHEN 'succeeded' THEN '{"read": 20.1, "preprocess": 190.2, "classify": 210.3, "total": 420.6}'::json END, uploaded_by
FROM (SELECT g, scans.id AS scan_id, scans.organisation_id, scans.created_at, scans.uploaded_by,
             (SELECT id FROM model_versions WHERE active) AS model_version,
             CASE WHEN g > :n - 400 THEN 'queued' WHEN g = :n - 400 THEN 'preprocessing' WHEN g = :n - 402 THEN 'classifying'
                  WHEN g % 1000 = 500 THEN 'cancelled' WHEN g % 30 = 4 THEN 'failed' ELSE 'succeeded' END AS state
      FROM generate_series(1, :n) g JOIN scans ON scans.id = md5('scan' || g)::uuid::text) numbered;

INSERT INTO results (prediction_id, organisation_id, model_version_id, adhd_probability, interval_low, interval_high, decision, result,
                     created_at)
SELECT id, organisation_id, model_version_id, (hashtext(id) & 65535) / 65535.0, 0.44, 0.75, 'uncertain', :result, finished_at
FROM predictions WHERE state = 'succeeded';

INSERT INTO audit_events (id, organisation_id, sequence, at, actor, address, action, subject_kind, subject_id, details, previous_hash, hash)
SELECT md5('event' || g)::uuid, CASE g % 2 WHEN 0 THEN '00000000-0000-4000-8000-000000000000' ELSE '11111111-1111-4111-8111-111111111111' END,
       head.sequence + g, now() - (:n - g) * interval '1 minute', 'user:' || md5('user' || g % 6000 + 1)::uuid, '192.0.2.1',
       CASE g % 5 WHEN 0 THEN 'prediction.list' ELSE 'scan.upload' END, CASE g % 5 WHEN 0 THEN 'prediction' ELSE 'scan' END,
       CASE g % 5 WHEN 0 THEN 'list' ELSE md5('scan' || g)::uuid::text END,
       '{"prediction_id": "none"}', md5('a' || g) || md5('b' || g), md5('c' || g) || md5('d' || g)
FROM generate_series(1, :n) g, audit_heads head;

UPDATE audit_heads SET sequence = sequence + :n;
