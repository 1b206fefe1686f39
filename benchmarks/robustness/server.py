"""Bad inputs of nodes and routes."""
