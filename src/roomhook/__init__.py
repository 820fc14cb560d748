"""Roomhook plays the Room backend of Tencent RTC, so that you can prove an App backend right, fast and tough."""
