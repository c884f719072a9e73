"""
What the server costs and how fast it is, beside others that do a part of the same.

``python -m benchmarks`` measures and prints the table; ``docs/performance.rst`` says what it means.
"""
