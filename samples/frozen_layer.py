# Two ways to leave the first of two layers as it is: freeze its weight, or run it under no_grad.
# See: with the frozen weight, gradient still flows through the layer to x; under no_grad it stops there, so x gets none.
import gradviz

x = gradviz.tensor([[1.0, 2.0]], requires_grad=True)
first = gradviz.tensor([[1.0, 0.5], [-1.0, 2.0]], requires_grad=True)
second = gradviz.tensor([[1.0], [1.0]], requires_grad=True)

first.requires_grad_(False)
hidden = gradviz.tanh(x @ first)
frozen = (hidden @ second).sum()
frozen.backward()
print("frozen: ", x.grad, first.grad, second.grad)
first.requires_grad_(True)

x.grad = None
second.grad = None
with gradviz.no_grad():
    features = gradviz.tanh(x @ first)
skipped = (features @ second).sum()
skipped.backward()
print("no_grad:", x.grad, first.grad, second.grad)
