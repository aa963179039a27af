# Gradient descent by hand, done right: the forward pass is tracked, the update of the weight is not.
# See: the gradient road from the loss to w, and `w -= ...` in its dashed region: it changes w, and no later step
# differentiates through it.
import gradviz

w = gradviz.tensor([4.0, -3.0], requires_grad=True)

for step in range(3):
    loss = (w * w).sum()
    loss.backward()
    with gradviz.no_grad():
        w -= 0.25 * w.grad
    w.grad = None
    print(step, loss)

print(w, w.is_leaf, w._version)
