"""Schedules: the learning rate of each update. One file each."""
