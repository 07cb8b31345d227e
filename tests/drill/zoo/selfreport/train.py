import math

w = 0.0
for step in range(200):
    w -= 0.1 * 2 * (w - 3.0)
print(f"step 200 w {w:.3f}")
print(f"val_loss: {math.sqrt(abs(w - 3.0)) + 0.25:.4f}")
