# Two ways to leave a first layer as it is: freeze its weight (requires_grad=False), or run it under no_grad.
# See: gradient flows through the layer with the frozen weight, back to a; where the layer ran under no_grad the road to
# b ends at the dashed box, so b gets none.
import gradviz

a = gradviz.tensor([[1.0, 2.0]], requires_grad=True)
b = gradviz.tensor([[1.0, 2.0]], requires_grad=True)
first = gradviz.tensor([[1.0, 0.5], [-1.0, 2.0]], requires_grad=True)
second = gradviz.tensor([[1.0], [1.0]], requires_grad=True)

first.requires_grad_(False)
hidden = gradviz.tanh(a @ first)
first.requires_grad_(True)
with gradviz.no_grad():
    features = gradviz.tanh(b @ first)

loss = (hidden @ second + features @ second).sum()
loss.backward()

print("a:     ", a.grad)
print("b:     ", b.grad)
print("first: ", first.grad)
print("second:", second.grad)
