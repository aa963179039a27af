# no_grad switches off tracking, not leaves: what asks for requires_grad=True inside it still gets it.
# See: w is a leaf that requires grad although it was made in the dashed region; z, computed there, has no grad_fn.
import gradviz

with gradviz.no_grad():
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    z = w * 10
    like = gradviz.zeros_like(w)

y = (w * 10 + z).sum()
y.backward()

print(w.requires_grad, z.requires_grad, like.requires_grad)
print(y)
print(w.grad)
