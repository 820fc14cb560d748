"""Commands that send, receive, record and replay callbacks."""
