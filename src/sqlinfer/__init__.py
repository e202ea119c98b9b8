"""Prediction as a nightly SQL job."""
