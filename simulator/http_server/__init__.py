"""Shared by Roomhook's HTTP servers: uvicorn in a thread, request limits, checks of Host and Origin."""
