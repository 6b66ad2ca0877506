"""The partner API's common ground: keys and scopes, problem+json, cursors, idempotency, ETags, limits, schema."""
