"""PixelCNN++ one pixel at a time, without doing anything twice.

Ramachandran et al. 2017, arXiv:1704.06001: a layer keeps its activations of what was done before, so that a
new pixel costs one column of each layer. Here a row is kept of each, and the work is dealt out so:

- stream ``u`` knows whole rows, so all of it is done once a row;
- what stream ``v`` takes from the row above, from ``u`` and from the conditions is known when a row begins,
  and is added up for the whole row at once;
- a pixel then costs each convolution of ``v`` one product with the last two columns of its row.

A coarser scale moves only where one of its pixels begins: on every second row and column of the finer one.
The products are those of `PixelCNN.forward`, in another order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from skyloom.nets.pixelcnn import GatedBlock, NormedConv, PixelCNN


def _row(x: Tensor, weight: Tensor, bias: Tensor, *, pad: int = 0, stride: int = 1) -> Tensor:
    """Convolve the rows ``(B, h, w, C)`` that a kernel of ``h`` rows covers into one, ``(B, w', N)``."""
    found = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, (1, stride), (0, pad))
    return found.permute(0, 2, 3, 1)[:, 0]


def _flat(weight: Tensor) -> Tensor:
    """Weights ``(N, C, 1, k)`` as a matrix for ``k`` columns side by side, ``(k C, N)``."""
    return weight[:, :, 0].permute(2, 1, 0).reshape(-1, len(weight)).contiguous()


class _Active:
    """A place for ``concat_elu`` of features in the last axis, with the views that writing to it needs."""

    def __init__(self, place: Tensor) -> None:
        size = place.shape[-1] // 2
        self.place, self.plus, self.minus = place, place[..., :size], place[..., size:]

    def write(self, x: Tensor) -> None:
        self.plus.copy_(x)
        self.turn()

    def turn(self) -> None:
        """Finish where the features themselves are written already."""
        torch.neg(self.plus, out=self.minus)
        F.elu_(self.place)


class _Rows:
    """A convolution of stream ``u`` with the last two rows of its input, and where these stand."""

    def __init__(self, conv: NormedConv, B: int, width: int) -> None:
        weight = conv.weight()
        self.weight, self.bias, self.stride = weight, conv.bias, conv.stride
        self.seen = weight.new_zeros(B, 2, width, weight.shape[1])
        self.before, self.now = self.seen[:, 0], self.seen[:, 1]
        self.active = _Active(self.now)

    def move(self) -> None:
        """Make room for a new row, ``now``."""
        self.before.copy_(self.now)

    def step(self) -> Tensor:
        """Return the row ``(B, w', N)`` that these two rows give."""
        return _row(self.seen, self.weight, self.bias, pad=1, stride=self.stride)


class _U:
    """A block of stream ``u``, row by row."""

    def __init__(self, block: GatedBlock, conditions: Tensor, width: int) -> None:
        B = len(conditions)
        self.first, self.second = _Rows(block.first, B, width), _Rows(block.second, B, width)
        self.beside = None if block.beside is None else (_flat(block.beside.weight()), block.beside.bias)
        self.shift = 0.0 if block.condition is None else block.condition(conditions).unsqueeze(1)

    def step(self, x: Tensor, beside: Tensor | None) -> Tensor:
        """Return the next row ``(B, w, F)``; ``beside`` is active, ``(B, w, 2 F)``."""
        self.first.move()
        self.first.active.write(x)
        c = self.first.step()
        if self.beside is not None and beside is not None:
            c = c + beside @ self.beside[0] + self.beside[1]
        self.second.move()
        self.second.active.write(c)
        return x + F.glu(self.second.step() + self.shift, dim=-1)


class _Columns:
    """A convolution of stream ``v``: one row of its input, and of its output what is known beforehand."""

    def __init__(self, conv: NormedConv, B: int, width: int) -> None:
        weight, self.stride = conv.weight(), conv.stride
        self.above, self.bias, self.near = weight[:, :, :1], conv.bias, _flat(weight[:, :, 1:])
        N, C = weight.shape[:2]
        self.seen = weight.new_zeros(B, width + 1, C)  # of a row, behind a column of zeros
        self.known = weight.new_zeros(B, width // self.stride, N)
        self.last = [self.seen[:, j : j + 2].flatten(1) for j in range(width)]
        self.place = [self.seen[:, j + 1] for j in range(width)]
        self.here = [_Active(place) for place in self.place]
        self.begun = [self.known[:, j] for j in range(width // self.stride)]

    def begin(self, more: Tensor | float) -> None:
        """Take up what a row has from the row above, whose input still stands here, and from elsewhere."""
        torch.add(
            _row(self.seen.unsqueeze(1), self.above, self.bias, stride=self.stride), more, out=self.known
        )

    def step(self, j: int, out: Tensor) -> Tensor:
        """Return the output at a column, ``(B, N)``, once the input stands there."""
        return torch.addmm(self.begun[j // self.stride], self.last[j], self.near, out=out)


class _V:
    """A block of stream ``v``, pixel by pixel."""

    def __init__(self, block: GatedBlock, conditions: Tensor, width: int) -> None:
        B = len(conditions)
        self.first, self.second = _Columns(block.first, B, width), _Columns(block.second, B, width)
        if block.beside is None:
            raise TypeError("a block of stream v takes in stream u")
        weight, F_ = _flat(block.beside.weight()), len(block.beside.bias)
        self.of_u, self.of_left = weight.tensor_split((2 * F_,))
        self.bias = block.beside.bias
        self.shift = 0.0 if block.condition is None else block.condition(conditions).unsqueeze(1)
        self.c = self.second.seen.new_zeros(B, 2 * F_)

    def begin(self, active_u: Tensor) -> None:
        """Begin a row; ``active_u`` is ``concat_elu`` of stream ``u`` in it, ``(B, w, 2 F)``."""
        self.first.begin(active_u @ self.of_u + self.bias)
        self.second.begin(self.shift)

    def step(self, j: int, x: Tensor, left: Tensor | None) -> Tensor:
        """Return the next features ``(B, F)``; ``left`` is active, ``(B, 2 F)``."""
        self.first.here[j].write(x)
        between = self.second.here[j]
        c = self.first.step(j, between.plus)
        if left is not None:
            c.addmm_(left, self.of_left)
        between.turn()
        return x + F.glu(self.second.step(j, self.c), dim=1)


class _Scale:
    """The two streams at one scale: blocks of the way down and of the way up."""

    def __init__(self, net: PixelCNN, scale: int, conditions: Tensor) -> None:
        width, B = net.size >> scale, len(conditions)
        down, up = net.down[scale], net.up[net.scales - 1 - scale]
        self.down_u, self.up_u = ([_U(b.u, conditions, width) for b in blocks] for blocks in (down, up))
        self.down_v, self.up_v = ([_V(b.v, conditions, width) for b in blocks] for blocks in (down, up))
        self.deepest = scale == net.scales - 1
        like = net.above.bias
        # The last features of the way down: nothing else on that way needs them active.
        self.turn_v = _Active(like.new_zeros(B, 2 * net.filters))
        self.turn_u = _Active(like.new_zeros(B, width, 2 * net.filters))
        self.active_u = _Active(like.new_zeros(B, width, 2 * net.filters))
        self.halve_u: _Rows | None = None
        self.halve_v: _Columns | None = None
        if not self.deepest:
            self.halve_u = _Rows(net.halve_u[scale], B, width)
            self.halve_v = _Columns(net.halve_v[scale], B, width)
            self.halved = like.new_zeros(B, net.filters)
            self._double(net, net.scales - 2 - scale, B, width)

    def _double(self, net: PixelCNN, step: int, B: int, width: int) -> None:
        """What the coarser scale gives: two rows at a time."""
        of_u, of_v, F_ = net.double_u[step], net.double_v[step], net.filters
        self.weight_u, self.bias_u = of_u.weight(), of_u.bias
        self.weight_v = [of_v.weight()[:, :, k].permute(0, 2, 1).reshape(F_, 2 * F_) for k in range(2)]
        self.bias_v = of_v.bias.repeat(2)
        self.rows_u = self.bias_v.new_zeros(2, B, width, F_)
        self.rows_v = self.bias_v.new_zeros(2, B, width, F_)
        self.doubled = [[row[:, j : j + 2].flatten(1) for j in range(0, width, 2)] for row in self.rows_v]

    def double_u(self, u: Tensor) -> None:
        """Take a row ``(B, w / 2, F)`` of the coarser scale."""
        found = F.conv_transpose2d(u.permute(0, 2, 1).unsqueeze(2), self.weight_u, self.bias_u, 2)
        self.rows_u.copy_(found[..., 1:].permute(2, 0, 3, 1))

    def double_v(self, j: int, v: Tensor) -> None:
        """Take a pixel ``(B, F)`` of the coarser scale."""
        for k in range(2):
            torch.addmm(self.bias_v, v, self.weight_v[k], out=self.doubled[k][j])

    def begin(self, block: _V, u: Tensor) -> None:
        """Begin a row of a block of stream ``v`` beside stream ``u``."""
        self.active_u.write(u)
        block.begin(self.active_u.place)


class CachedPixelCNN:
    """A `PixelCNN` that is asked for its pixels in their order.

    Args:
        net: The network, in evaluation mode; its weights are taken as they are now.
        conditions: Shape ``(B, P)``, standardised.

    Example:
        >>> net = PixelCNN(1, 3, 0, 4, nr_resnet=1, nr_filters=4, scales=2).eval()
        >>> x, none = torch.randn(2, 1, 4, 4), torch.zeros(2, 0)
        >>> with torch.no_grad():
        ...     cached, found = CachedPixelCNN(net, none), torch.empty(2, 3, 4, 4)
        ...     for i in range(4):
        ...         cached.begin_row()
        ...         for j in range(4):
        ...             found[:, :, i, j] = cached.outputs(j)
        ...             cached.write(j, x[:, :, i, j])
        ...     torch.allclose(found, net(x, none), atol=1e-5)
        True
    """

    def __init__(self, net: PixelCNN, conditions: Tensor) -> None:
        self.size, B = net.size, len(conditions)
        self.scales = [_Scale(net, scale, conditions) for scale in range(net.scales)]
        self.row = -1
        C = net.in_channels + 1
        bias = net.above.bias
        self.seen = bias.new_zeros(B, 2, net.size, C)
        self.written = bias.new_zeros(B, net.size, C)
        self.above, self.above_bias = net.above.weight(), bias
        weight = net.left.weight()
        self.near, self.near_bias = net.above_near.weight().clone(), net.above_near.bias + net.left.bias
        self.near[..., 0] += weight[:, :, :1, 0]  # the pixel above and to the left is seen by both
        self.left = weight[:, :, 1, 0].T.contiguous()
        self.start = bias.new_zeros(B, net.size, net.filters)
        self.head, self.head_bias = _flat(net.head.weight()), net.head.bias
        self.final = _Active(bias.new_zeros(B, 2 * net.filters))

    def begin_row(self) -> None:
        """Begin the next row, once all pixels of the one before are written."""
        self.row += 1
        self.seen[:, 0] = self.seen[:, 1]
        self.seen[:, 1] = self.written
        self.written[..., -1] = 1
        self.start.copy_(_row(self.seen[:, 1:], self.near, self.near_bias, pad=1))
        u, active = self._down_u(_row(self.seen, self.above, self.above_bias, pad=1))
        for scale in range(active, -1, -1):
            here = self.scales[scale]
            left = [block.first.now for block in here.down_u]
            if not here.deepest:
                u = here.rows_u[(self.row >> scale) % 2]
                left.append(here.turn_u.place)
            for block_u, block_v in zip(here.up_u, here.up_v, strict=True):
                u = block_u.step(u, left.pop())
                here.begin(block_v, u)
            if scale:
                self.scales[scale - 1].double_u(u)

    def _down_u(self, u: Tensor) -> tuple[Tensor, int]:
        """Take a row of stream ``u`` down; return it with the coarsest scale that has a row here."""
        for scale, here in enumerate(self.scales):
            for block_u, block_v in zip(here.down_u, here.down_v, strict=True):
                u = block_u.step(u, None)
                here.begin(block_v, u)
            if here.halve_u is None or here.halve_v is None:
                break
            here.turn_u.write(u)
            here.halve_u.move()
            here.halve_u.now.copy_(u)
            if (self.row >> scale) % 2:
                break
            here.halve_v.begin(0.0)
            u = here.halve_u.step()
        return u, scale

    def outputs(self, j: int) -> Tensor:
        """Return the outputs of the pixel in this row and column ``j``, shape ``(B, out_channels)``.

        Args:
            j: The column; all before it were asked for and written.
        """
        self.final.write(self._pass(j))
        return torch.addmm(self.head_bias, self.final.place, self.head)

    def skip(self, j: int) -> None:
        """Do for a pixel what those after it need, where its outputs are not wanted.

        Args:
            j: As above.
        """
        self._pass(j)

    def _pass(self, j: int) -> Tensor:
        v, active = self._down_v(j)
        for scale in range(active, -1, -1):
            here, k = self.scales[scale], j >> scale
            left = [block.first.here[k].place for block in here.down_v]
            if not here.deepest:
                v = here.rows_v[(self.row >> scale) % 2][:, k]
                left.append(here.turn_v.place)
            for block in here.up_v:
                v = block.step(k, v, left.pop())
            if scale:
                self.scales[scale - 1].double_v(k, v)
        return v

    def _down_v(self, j: int) -> tuple[Tensor, int]:
        v = self.start[:, j]
        if j:
            v = torch.addmm(v, self.written[:, j - 1], self.left)
        for scale, here in enumerate(self.scales):
            k = j >> scale
            for block in here.down_v:
                v = block.step(k, v, None)
            if here.halve_v is None:
                break
            here.turn_v.write(v)
            here.halve_v.place[k].copy_(v)
            if (self.row >> scale) % 2 or k % 2:
                break
            v = here.halve_v.step(k, here.halved)
        return v, scale

    def write(self, j: int, x: Tensor) -> None:
        """Tell what stands at the pixel in column ``j``.

        Args:
            j: The column.
            x: Shape ``(B, in_channels)``.
        """
        self.written[:, j, :-1] = x
