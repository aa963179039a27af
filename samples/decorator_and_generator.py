# no_grad as a decorator: around a function, and around a generator, where it holds only while the generator runs.
# See: the ops inside `scale` and `doubled` in dashed boxes named after the decorator's line; `kept`, made between two
# steps of the generator, is tracked.
import gradviz

w = gradviz.tensor([1.0, 2.0], requires_grad=True)


@gradviz.no_grad()
def scale(x):
    return x * 10


@gradviz.no_grad()
def doubled(x):
    for _ in range(2):
        x = x * 2
        yield x


scaled = scale(w)
kept = []
for step in doubled(w):
    kept.append(w * step)

print(scaled.requires_grad)
print([product.requires_grad for product in kept])
total = (kept[0] + kept[1]).sum()
total.backward()
print(w.grad)
