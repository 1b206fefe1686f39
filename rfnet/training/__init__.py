"""Training, adapting, calibrating and measuring the reviewer."""
