"""`gradviz check` on programs as people write them: a mistake in real training code, and right ones beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from score_cases import findings_of

PROGRAMS = Path(__file__).parent / "programs"

# The kind of finding, what stands on the culprit's line, and the names that the finding tells, among others.
EXPECTED: dict[str, tuple[str, str, set[str]]] = {
    "accuracy_as_loss": ("integer", "aux.argmax", {"net.aux_head.weight", "net.aux_head.bias"}),
    "bias_that_killed_relu": ("zero_gradient", "torch.relu(", {"net.fc1.weight", "net.fc1.bias", "net.fc2.weight"}),
    "branch_by_config": ("unused_param", "if step % 3:", {"model.aux.weight", "model.aux.bias"}),
    "cleared_before_step": ("discarded_gradient", "optimizer.zero_grad()", {"model.0.weight", "model.2.bias"}),
    "clip_weights_in_place": ("inplace_leaf", "p.clamp_", set()),
    "copy_after_optimizer": ("stale_optimizer", "copy.deepcopy(base)", {"model.0.weight", "model.2.bias"}),
    "data_property": ("data", "self.direction.data", {"net.0.direction"}),
    "detach_in_helper": ("detach", "x.detach()", {"model.body.0.weight", "model.head.bias"}),
    "evaluate_leaves_grad_off": ("set_grad_enabled", "set_grad_enabled(False)", {"model.0.weight"}),
    "fake_in_both_losses": ("backward_twice", "fake = ", {"fake"}),
    "features_through_lists": ("item", "features.tolist()", {"backbone.0.weight", "backbone.0.bias"}),
    "frozen_by_substring": ("frozen", "p.requires_grad_(False)", {"model.backbone.weight", "model.classifier.bias"}),
    "function_drops_scale": ("custom_function", "return grad, None", {"model.scale"}),
    "grad_of_moved_leaf": ("non_leaf_grad", "image.unsqueeze(0).double()", {"batch"}),
    "head_after_optimizer": ("stale_optimizer", "model.fc = nn.Linear", {"model.fc.weight", "model.fc.bias"}),
    "hidden_state_in_method": ("backward_twice", "self.memory = self.cell", {"policy.memory"}),
    "list_in_function": ("loss_accumulation", "history.append(loss)", {"history"}),
    "loss_made_of_numbers": ("item", "error.item()", {"model.weight", "model.bias"}),
    "misspelt_flag": ("freeze_noop", "p.require_grad = False", {"encoder.weight", "encoder.bias"}),
    "never_cleared": ("reused_gradient", "loss.backward()", {"model.0.weight", "model.2.bias"}),
    "never_cleared_by_hand": ("reused_gradient", "loss.backward()", {"w", "b"}),
    "no_grad_method": ("no_grad", "@torch.no_grad()", {"trainer.model.users.weight"}),
    "numpy_in_loss": ("numpy", "np.sum(", {"model.encode.weight", "model.decode.bias"}),
    "plain_tensor_attribute": ("unregistered_param", "self.temperature = ", {"matcher.temperature"}),
    "rollout_in_class": ("loss_accumulation", "self.rollout.append", {"agent.rollout"}),
    "shared_encoder_leak": ("grad_leak", "policy_loss = ", {"encoder.weight", "encoder.bias"}),
    "sigmoid_changed_in_place": ("inplace_saved", "gate[~mask] = 0", {"gate"}),
    "summed_items": ("item", ".item()", {"model.trunk.weight", "model.heads.0.weight", "model.heads.2.bias"}),
    "total_in_function": ("loss_accumulation", "running = running + loss", {"running"}),
    "unused_in_module_dict": ("unused_param", "nn.ModuleDict", {"moe.experts.audio.weight", "moe.experts.audio.bias"}),
    "validate_keeps_graph": ("eval_with_grad", "self.net.eval()", {"runner.net.0.weight"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_mistake_is_found_where_it_was_made(name: str) -> None:
    kind, source, names = EXPECTED[name]
    program = PROGRAMS / f"{name}.py"
    lines = program.read_text(encoding="utf-8").splitlines()
    findings = findings_of(program)
    # One cause, one finding: beside a graver one, notes are welcome.
    told = [finding for finding in findings if finding["severity"] != "note"] or findings
    assert [(finding["kind"], source in lines[finding["line"] - 1]) for finding in told] == [(kind, True)]
    assert names <= set(told[0]["names"])


# Programs that mix causes: kind, culprit and names of each finding, in the order in which they are told.
MIXED: dict[str, list[tuple[str, str, set[str]]]] = {
    "mixed_actor_critic": [
        ("grad_leak", "actor_loss = ", {"agent.critic.body.0.weight", "agent.critic.body.2.bias"}),
        ("loss_accumulation", "agent.replay.append", {"agent.replay"}),
    ],
    "mixed_bilevel": [
        ("nondifferentiable", "(meta(x) > 0.5)", {"meta.score.weight", "meta.score.bias"}),
        ("item", "meta.log_lr.pow(2).item()", {"meta.log_lr"}),
        ("grad_without_optimizer", "outer_loss = ", {"model.weight", "model.bias"}),
    ],
    "mixed_checkpoint": [
        ("checkpoint_reentrant", "checkpoint(block", {"model.blocks.0.norm.weight", "model.blocks.1.mlp.2.bias"}),
        ("frozen", "requires_grad = False", {"model.embed.weight"}),
    ],
    "mixed_contrastive": [
        ("unbackwarded_term", "loss = contrast + ", {"model.query.rotation.weight", "model.query.rotation.bias"}),
        (
            "unregistered_param",
            "self.projector = [",
            {f"model.query.projector.{i}.{kind}" for i in range(2) for kind in ("weight", "bias")},
        ),
    ],
    "mixed_distillation": [
        ("no_grad", "with torch.no_grad()", {"student.hint.weight", "student.hint.bias"}),
        ("unregistered_param", "self.temperature = ", {"student.temperature"}),
        ("loss_accumulation", ".append(loss)", {"history['loss']"}),
    ],
    "mixed_fine_tune": [
        ("stale_optimizer", "self.classifier = nn.Linear", {"model.classifier.weight", "model.classifier.bias"}),
        ("no_grad", "with torch.no_grad()", {"model.pooler.weight"}),
    ],
    "mixed_gan": [("detach", ".detach()", {"generator.net.0.weight", "generator.net.2.bias"})],
    "mixed_lora": [
        ("item", "self.gate.tolist()", {"model.gate"}),
        (
            "unregistered_param",
            "self.adapters = [",
            {f"model.adapters.{i}.{kind}" for i in range(2) for kind in ("up", "down")},
        ),
    ],
    "mixed_modes": [
        ("set_grad_enabled", "set_grad_enabled(False)", {"backbone.0.weight", "head.bias"}),
        ("freeze_noop", "backbone.requires_grad = False", {"backbone.0.weight", "backbone.0.bias"}),
    ],
    "mixed_pinn": [("backward_twice", "autograd.grad(u_x.sum(), x)", {"u_x"})],
    "mixed_recommender": [
        ("no_grad", "@torch.no_grad()", {"model.users.weight"}),
        ("data", "vector.data", {"model.items.weight"}),
        ("integer", ".round().long()", {"model.offset.weight", "model.offset.bias"}),
        ("unused_param", "self.user_bias = ", {"model.user_bias.weight"}),
    ],
    "mixed_seq2seq": [
        ("data", "state[0].data", {"model.encoder.weight_ih_l0", "model.encoder.bias_hh_l0"}),
        ("stale_optimizer", "model.head = nn.Linear", {"model.head.weight", "model.head.bias"}),
        ("loss_accumulation", "total += loss", set()),
    ],
    "mixed_shared_trunk": [
        ("backward_twice", "features = trunk(x)", {"features"}),
        ("item", "float(trunk[0]", {"trunk.0.weight"}),
    ],
    "mixed_vae": [
        ("numpy", "log_var.detach().numpy()", {"model.log_var.weight", "model.log_var.bias"}),
        ("item", ".item()", {"model.log_var.weight", "model.log_var.bias"}),
        ("eval_with_grad", "model.eval()", {"model.mu.weight"}),
        ("frozen", "p.requires_grad = False", {"model.stem.weight", "model.stem.bias"}),
    ],
}


@pytest.mark.parametrize("name", MIXED)
def test_each_of_several_mistakes_is_told_once(name: str) -> None:
    program = PROGRAMS / f"{name}.py"
    lines = program.read_text(encoding="utf-8").splitlines()
    findings = findings_of(program)
    expected = MIXED[name]
    assert [finding["kind"] for finding in findings] == [kind for kind, _, _ in expected]
    for finding, (_, source, names) in zip(findings, expected, strict=True):
        assert source in lines[finding["line"] - 1]
        assert names <= set(finding["names"])


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("healthy_*.py")))
def test_a_right_program_is_left_alone(name: str) -> None:
    loud = [finding for finding in findings_of(PROGRAMS / f"{name}.py") if finding["severity"] != "note"]
    assert not loud


def test_every_program_is_judged() -> None:
    found = {path.stem for path in PROGRAMS.glob("*.py")}
    assert {name for name in found if not name.startswith("healthy_")} == {*EXPECTED, *MIXED}
