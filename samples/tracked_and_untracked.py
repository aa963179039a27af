# One leaf, the same product twice: once tracked, once under no_grad. Both have the same value.
# See: a wire back to x from the first, a dashed box around the second, and backward failing on it.
import gradviz

x = gradviz.tensor([2.0, 5.0], requires_grad=True)
tracked = (x * 3).sum()
with gradviz.no_grad():
    untracked = (x * 3).sum()

tracked.backward()
print(tracked, x.grad)

try:
    untracked.backward()
except RuntimeError as error:
    print(untracked, error)
