import sys

print(sorted(int(x) for x in sys.stdin.read().split()))
