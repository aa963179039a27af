# Grad mode belongs to a thread: no_grad in the main thread does not reach a thread that it starts.
# See: the product made in the thread is tracked, the one made beside it in the main thread is skipped.
import threading

import gradviz

w = gradviz.tensor([1.0, 2.0], requires_grad=True)
results = {}


def work():
    results["thread"] = w * 2


with gradviz.no_grad():
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    results["main"] = w * 2

print(results["thread"])
print(results["main"])
