"""Alerts: rules, their expressions, the state of alerts, and notifications."""
