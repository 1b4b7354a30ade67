"""What benchmarks/grading.py is made of: other graders, real answers, long responses."""
