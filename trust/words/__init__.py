"""Texts for people, in zh-CN and English."""
