from django.urls import path

from presence import views

urlpatterns = [path("callback", views.callback), path("members", views.members)]
