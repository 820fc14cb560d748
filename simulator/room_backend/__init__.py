"""The mock Room backend behind `roomhook serve`."""
