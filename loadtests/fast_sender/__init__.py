"""Sender process of the fast users: sends at a scheduled rate from prebuilt requests."""
