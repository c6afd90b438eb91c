"""Unmagic: what the pages and labs of the course import."""
