# w * x + b, outside no_grad and inside it.
# See: y with its gradient wires to w and b, and the same two ops skipped, in a box named after the line that opened it.
import gradviz

x = gradviz.tensor(3.0)
w = gradviz.tensor(2.0, requires_grad=True)
b = gradviz.tensor(1.0, requires_grad=True)
y = w * x + b
with gradviz.no_grad():
    z = w * x + b

print(y, y.requires_grad, y.is_leaf)
print(z, z.requires_grad, z.is_leaf)
