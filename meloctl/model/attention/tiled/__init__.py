"""The backend for CPUs: tiles merged by log-sum-exp."""
