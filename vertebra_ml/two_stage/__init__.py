"""The two-stage localiser: where is spine (detection), then which level (identification)."""
