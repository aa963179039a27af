# Training under no_grad by accident: `evaluate` was written for evaluation, and the training loop calls it too.
# See: the whole road from w to the loss runs through the dashed region, so backward finds nothing to follow.
import gradviz

x = gradviz.tensor([[1.0, 2.0], [3.0, 4.0]])
target = gradviz.tensor([[1.0], [0.0]])
w = gradviz.tensor([[0.5], [-0.5]], requires_grad=True)


@gradviz.no_grad()
def evaluate(inputs):
    return inputs @ w


prediction = evaluate(x)
loss = ((prediction - target) ** 2).mean()
print(loss)
try:
    loss.backward()
except RuntimeError as error:
    print(error)
print(w.grad)
