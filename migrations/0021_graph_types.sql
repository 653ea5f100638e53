-- graph: the types of section "The knowledge graph" (schema.org and ActivityStreams names), each with what is common
-- to all, its own properties, and those that it can't be without. What a source says beyond is kept under `x_`.

INSERT INTO graph.entity_type (name, single_source, schema)
SELECT name, single_source, jsonb_build_object(
    'type', 'object',
    'required', required::jsonb,
    'properties', '{
        "name": {"type": "string", "maxLength": 512},
        "description": {"type": "string", "maxLength": 16384},
        "url": {"type": "string", "maxLength": 2048},
        "language": {"type": "string", "maxLength": 35}
    }'::jsonb || own::jsonb
)
FROM (VALUES
    ('Person', false, '[]', '{
        "given_name": {"type": "string", "maxLength": 256},
        "family_name": {"type": "string", "maxLength": 256},
        "nickname": {"type": "string", "maxLength": 256},
        "birthday": {"type": "string", "maxLength": 10},
        "job_title": {"type": "string", "maxLength": 256},
        "note": {"type": "string", "maxLength": 16384},
        "handle": {"type": "string", "maxLength": 256},
        "time_zone": {"type": "string", "maxLength": 64}
    }'),
    ('Organization', false, '[]', '{
        "legal_name": {"type": "string", "maxLength": 512},
        "note": {"type": "string", "maxLength": 16384}
    }'),
    ('Place', false, '[]', '{
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        "radius_m": {"type": "number", "minimum": 1, "maximum": 100000},
        "address": {"type": "string", "maxLength": 1024}
    }'),
    ('Message', true, '["direction", "channel", "status"]', '{
        "direction": {"type": "string", "enum": ["in", "out"]},
        "channel": {"type": "string", "maxLength": 64},
        "status": {"type": "string", "maxLength": 64},
        "from": {"type": "string", "maxLength": 512},
        "to": {"type": "string", "maxLength": 512},
        "text": {"type": "string", "maxLength": 60000},
        "subject": {"type": "string", "maxLength": 1024},
        "connection": {"type": "string", "maxLength": 64},
        "remote_id": {"type": "string", "maxLength": 1024},
        "attempt": {"type": "string", "maxLength": 64},
        "error": {"type": "string", "maxLength": 2048},
        "error_code": {"type": "string", "maxLength": 64},
        "sent_at": {"type": "string", "maxLength": 40},
        "received_at": {"type": "string", "maxLength": 40},
        "reason": {"type": "string", "maxLength": 2048}
    }'),
    ('Conversation', false, '[]', '{
        "channel": {"type": "string", "maxLength": 64}
    }'),
    ('Call', true, '["direction"]', '{
        "direction": {"type": "string", "enum": ["in", "out"]},
        "status": {"type": "string", "maxLength": 64},
        "answered": {"type": "boolean"},
        "from": {"type": "string", "maxLength": 512},
        "to": {"type": "string", "maxLength": 512},
        "connection": {"type": "string", "maxLength": 64},
        "remote_id": {"type": "string", "maxLength": 1024},
        "duration_s": {"type": "integer", "minimum": 0},
        "ended_at": {"type": "string", "maxLength": 40}
    }'),
    ('Event', false, '[]', '{
        "location": {"type": "string", "maxLength": 1024},
        "all_day": {"type": "boolean"},
        "status": {"type": "string", "maxLength": 64},
        "ends_at": {"type": "string", "maxLength": 40},
        "recurrence": {"type": "string", "maxLength": 2048}
    }'),
    ('Task', false, '[]', '{
        "status": {"type": "string", "maxLength": 64},
        "due_at": {"type": "string", "maxLength": 40},
        "completed_at": {"type": "string", "maxLength": 40},
        "priority": {"type": "integer", "minimum": 0, "maximum": 9},
        "recurrence": {"type": "string", "maxLength": 2048}
    }'),
    ('Goal', false, '[]', '{
        "status": {"type": "string", "maxLength": 64},
        "due_at": {"type": "string", "maxLength": 40},
        "progress": {"type": "number", "minimum": 0, "maximum": 1}
    }'),
    ('Document', false, '[]', '{
        "text": {"type": "string", "maxLength": 60000},
        "media_type": {"type": "string", "maxLength": 255}
    }'),
    ('MediaObject', false, '[]', '{
        "media_type": {"type": "string", "maxLength": 255},
        "content_hash": {"type": "string", "maxLength": 128},
        "size_bytes": {"type": "integer", "minimum": 0}
    }'),
    ('Device', false, '[]', '{
        "model": {"type": "string", "maxLength": 256},
        "manufacturer": {"type": "string", "maxLength": 256},
        "platform": {"type": "string", "maxLength": 256},
        "kind": {"type": "string", "maxLength": 64},
        "topic": {"type": "string", "maxLength": 512},
        "tracker_id": {"type": "string", "maxLength": 64}
    }'),
    ('Reading', true, '["kind"]', '{
        "kind": {"type": "string", "maxLength": 64},
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        "accuracy_m": {"type": "number", "minimum": 0},
        "altitude_m": {"type": "number"},
        "velocity_kmh": {"type": "number"},
        "course_deg": {"type": "number"},
        "battery_percent": {"type": "number", "minimum": 0, "maximum": 100},
        "device": {"type": "string", "maxLength": 64},
        "connection": {"type": "string", "maxLength": 64},
        "value": {},
        "unit": {"type": "string", "maxLength": 64}
    }'),
    ('Transaction', true, '[]', '{
        "amount": {"type": "string", "maxLength": 64},
        "currency": {"type": "string", "maxLength": 8},
        "counterparty": {"type": "string", "maxLength": 512},
        "status": {"type": "string", "maxLength": 64}
    }'),
    ('Product', false, '[]', '{"sku": {"type": "string", "maxLength": 256}}'),
    ('Offer', false, '[]', '{
        "price": {"type": "string", "maxLength": 64},
        "currency": {"type": "string", "maxLength": 8},
        "status": {"type": "string", "maxLength": 64}
    }'),
    ('Demand', false, '[]', '{
        "price": {"type": "string", "maxLength": 64},
        "currency": {"type": "string", "maxLength": 8},
        "status": {"type": "string", "maxLength": 64}
    }'),
    ('Agreement', false, '[]', '{"status": {"type": "string", "maxLength": 64}, "text": {"type": "string", "maxLength": 60000}}'),
    ('Proposal', false, '[]', '{"status": {"type": "string", "maxLength": 64}, "text": {"type": "string", "maxLength": 60000}}'),
    ('Poll', false, '[]', '{"status": {"type": "string", "maxLength": 64}, "options": {"type": "array"}, "closes_at": {"type": "string", "maxLength": 40}}'),
    ('Vote', false, '[]', '{"choice": {}, "weight": {"type": "number"}}'),
    ('SocialPost', true, '[]', '{
        "text": {"type": "string", "maxLength": 60000},
        "content_warning": {"type": "string", "maxLength": 1024},
        "visibility": {"type": "string", "maxLength": 64},
        "direction": {"type": "string", "enum": ["in", "out"]},
        "from": {"type": "string", "maxLength": 2048}
    }'),
    ('Lead', false, '[]', '{"status": {"type": "string", "maxLength": 64}, "note": {"type": "string", "maxLength": 16384}}'),
    ('Opportunity', false, '[]', '{"status": {"type": "string", "maxLength": 64}, "amount": {"type": "string", "maxLength": 64}, "currency": {"type": "string", "maxLength": 8}}'),
    ('Campaign', false, '[]', '{"status": {"type": "string", "maxLength": 64}}'),
    ('Consent', false, '[]', '{"purpose": {"type": "string", "maxLength": 1024}, "status": {"type": "string", "maxLength": 64}, "withdrawn_at": {"type": "string", "maxLength": 40}}'),
    ('Agent', false, '[]', '{"model": {"type": "string", "maxLength": 256}, "status": {"type": "string", "maxLength": 64}}'),
    ('AgentTask', false, '[]', '{"status": {"type": "string", "maxLength": 64}, "instructions": {"type": "string", "maxLength": 60000}}'),
    ('Memory', false, '[]', '{"text": {"type": "string", "maxLength": 60000}}')
) AS seed (name, single_source, required, own);
