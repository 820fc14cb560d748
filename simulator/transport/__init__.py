"""Sends single HTTP requests to an App backend over asyncio."""
