# Two roads lead from x to r. One is cut in the middle: z is computed from x.detach(), so no gradient comes back by it.
# See: the red cut on the road to z, and x.grad, which counts the road through y only: 2, not 3.
import gradviz

x = gradviz.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = 2 * x
z = 3 + x.detach()
r = (y + z).sum()
r.backward()

print(r)
print(z.requires_grad, z.is_leaf)
print(x.grad)
