"""What our own HTTP servers share: uvicorn in a thread, request limits, checks of Host and Origin."""
