"""Roomhook plays the Room backend of Tencent RTC, so that an App backend can be proved right, fast and hard to break."""
