"""The example objects, modelled by hand from simple shapes. All of our own design."""

import math
import random

import numpy as np
from studio import ball, box, disc, lathe, material, melted, needles, placed, slab, smooth_curve, tube


def robot() -> None:
    """A tin toy robot with a dial and three buttons."""
    teal = material("#1f8f93", "#1a7f86", noise=5, roughness=0.32, coat=0.6, bump=0.06, bump_noise=9)
    cream = material("#efe3c8", "#e3d4b4", noise=6, roughness=0.38, coat=0.5, bump=0.05, bump_noise=9)
    red = material("#c8352b", "#b52d25", noise=5, roughness=0.3, coat=0.7)
    steel = material("#b9bcc0", "#a2a6ab", noise=12, roughness=0.28, metal=1.0, bump=0.05, bump_noise=60)
    dark = material("#22262b", roughness=0.5)
    brass = material("#c99a45", roughness=0.25, metal=1.0)
    amber = material("#ffb52e", roughness=0.1, coat=1.0, glow=1.1)

    placed(box((1.10, 0.82, 1.12), 0.16, teal), (0, 0, 1.18))
    placed(box((0.84, 0.08, 0.74), 0.035, cream), (0, -0.41, 1.26))
    placed(disc(0.17, 0.06, brass), (-0.2, -0.46, 1.40), (90, 0, 0))
    placed(disc(0.14, 0.06, cream), (-0.2, -0.475, 1.40), (90, 0, 0))
    for tick in range(7):
        angle = math.radians(-120 + tick * 40)
        at = (-0.2 + 0.105 * math.sin(angle), -0.508, 1.40 + 0.105 * math.cos(angle))
        placed(box((0.012, 0.01, 0.035), 0.003, dark), at, (0, math.degrees(angle), 0))
    placed(box((0.02, 0.012, 0.13), 0.004, red), (-0.175, -0.512, 1.43), (0, 40, 0))
    for x, color in ((0.08, "#d6392f"), (0.2, "#efb52b"), (0.32, "#3f9d57")):
        placed(disc(0.058, 0.03, steel), (x, -0.46, 1.46), (90, 0, 0))
        placed(ball(0.043, material(color, roughness=0.15, coat=1.0, glow=0.25)), (x, -0.475, 1.46), scale=(1, 0.7, 1))
    for row in range(4):
        placed(box((0.32, 0.03, 0.028), 0.012, dark), (0.2, -0.45, 1.335 - 0.058 * row))
    placed(box((0.66, 0.03, 0.1), 0.02, red), (0, -0.45, 1.03))
    for x in (-0.46, 0.46):
        for z in (0.72, 1.64):
            placed(ball(0.03, brass), (x, -0.41, z), scale=(1, 0.6, 1))

    for ring in range(3):
        placed(disc(0.2 - 0.012 * ring, 0.07, steel, 0.45), (0, 0, 1.765 + 0.055 * ring))
    placed(box((0.86, 0.68, 0.60), 0.17, cream), (0, 0, 2.2))
    for x in (-0.2, 0.2):
        placed(disc(0.155, 0.09, steel, 0.4), (x, -0.34, 2.27), (90, 0, 0))
        placed(ball(0.115, amber), (x, -0.36, 2.27), scale=(1, 0.55, 1))
        placed(ball(0.045, dark), (x + 0.012, -0.415, 2.275), scale=(1, 0.4, 1))
    placed(box((0.44, 0.05, 0.12), 0.045, dark), (0, -0.335, 2.035))
    for tooth in range(5):
        placed(box((0.045, 0.03, 0.085), 0.012, steel), (-0.15 + 0.075 * tooth, -0.36, 2.035))
    for side in (-1, 1):
        placed(disc(0.15, 0.1, red, 0.4), (side * 0.46, 0, 2.2), (0, 90, 0))
        placed(disc(0.07, 0.12, brass, 0.4), (side * 0.5, 0, 2.2), (0, 90, 0))
    placed(disc(0.1, 0.08, red, 0.45), (0, 0, 2.53))
    tube([(0, 0, 2.5), (0, 0, 2.7), (0, 0, 2.86)], [0.028, 0.02, 0.016], steel)
    placed(ball(0.082, red), (0, 0, 2.9))

    for side in (-1, 1):
        placed(ball(0.17, red), (side * 0.6, 0, 1.5))
        arm = np.array([(side * 0.62, 0, 1.48), (side * 0.84, -0.02, 1.3), (side * 0.86, -0.1, 0.98)])
        tube(arm.tolist(), 0.09, steel)
        for t in np.linspace(0.12, 0.92, 8):
            at = (1 - t) ** 2 * arm[0] + 2 * t * (1 - t) * (2 * arm[1] - (arm[0] + arm[2]) / 2) + t**2 * arm[2]
            placed(ball(0.118, steel), at.tolist(), scale=(1, 1, 0.42))
        placed(disc(0.15, 0.16, teal, 0.4), (side * 0.86, -0.12, 0.9), (12, 0, 0))
        for out in (-1, 1):
            x = side * 0.86
            claw = [(x, -0.13, 0.82), (x + out * 0.13, -0.16, 0.72), (x + out * 0.05, -0.19, 0.58)]
            tube(claw, [0.055, 0.05, 0.035], red)
        for ring in range(4):
            placed(disc(0.17, 0.1, steel, 0.45), (side * 0.28, 0, 0.58 - 0.085 * ring))
        placed(box((0.44, 0.72, 0.28), 0.11, teal), (side * 0.29, -0.08, 0.14))
        placed(box((0.30, 0.06, 0.1), 0.03, cream), (side * 0.29, -0.43, 0.13))


def duck() -> None:
    """A wooden pull-along duck."""
    yellow = material("#f7c414", "#f0b50c", noise=4, roughness=0.35, coat=0.5, bump=0.04, bump_noise=14, subsurface=0.1)
    orange = material("#e2601c", roughness=0.35, coat=0.5)
    white = material("#f7f2e6", roughness=0.3, coat=0.5)
    dark = material("#181516", roughness=0.12, coat=1.0)
    red = material("#bf2f2a", "#ad2823", noise=5, roughness=0.32, coat=0.6)
    brass = material("#c99a45", roughness=0.25, metal=1.0)
    wood = material(
        "#b9803f", "#8a5526", noise=2.2, stretch=(0.5, 5, 7), mix_at=(0.35, 0.7), roughness=0.5, coat=0.2, bump=0.08
    )

    skin = ball(1, yellow)
    parts = [
        placed(skin, (0, 0, 0.98), scale=(0.74, 0.50, 0.47)),
        placed(ball(1, yellow), (0.16, 0, 0.86), scale=(0.56, 0.47, 0.38)),
        placed(ball(1, yellow), (-0.5, 0, 1.18), (0, 35, 0), (0.40, 0.27, 0.2)),
        placed(ball(1, yellow), (-0.76, 0, 1.38), (0, 48, 0), (0.22, 0.15, 0.1)),
        placed(ball(1, yellow), (0.42, 0, 1.32), (0, 12, 0), (0.27, 0.27, 0.40)),
        placed(ball(1, yellow), (0.5, 0, 1.74), scale=(0.39, 0.37, 0.37)),
    ]
    melted(parts, 0.018, 30)
    placed(ball(1, orange), (0.93, 0, 1.70), (0, 6, 0), (0.24, 0.19, 0.06))
    placed(ball(1, orange), (0.89, 0, 1.62), (0, 20, 0), (0.18, 0.15, 0.05))
    for side in (-1, 1):
        placed(ball(1, white), (0.685, side * 0.292, 1.84), (0, 0, side * 35), (0.095, 0.045, 0.115))
        placed(ball(1, dark), (0.715, side * 0.318, 1.845), (0, 0, side * 35), (0.058, 0.04, 0.075))
        wing = [
            placed(ball(1, yellow), (-0.02, side * 0.47, 1.06), (0, 14, 0), (0.38, 0.09, 0.23)),
            placed(ball(1, yellow), (-0.3, side * 0.46, 1.19), (0, 34, 0), (0.26, 0.075, 0.12)),
            placed(ball(1, yellow), (-0.26, side * 0.47, 1.07), (0, 24, 0), (0.26, 0.07, 0.1)),
        ]
        melted(wing, 0.014, 14)
    placed(box((1.5, 0.8, 0.16), 0.06, wood), (0, 0, 0.42))
    placed(box((0.5, 0.4, 0.16), 0.06, red), (0.06, 0, 0.53))
    for x in (-0.48, 0.48):
        for side in (-1, 1):
            placed(disc(0.3, 0.14, red, 0.4), (x, side * 0.49, 0.3), (90, 0, 0))
            placed(disc(0.17, 0.16, white, 0.4), (x, side * 0.49, 0.3), (90, 0, 0))
            placed(ball(0.07, brass), (x, side * 0.56, 0.3), scale=(1, 0.6, 1))
    placed(ball(0.055, brass), (0.76, 0, 0.42))


def cactus() -> None:
    """A cactus in flower in a terracotta pot."""
    clay = material("#b5603a", "#a3512f", noise=4, roughness=0.85, bump=0.25, bump_noise=70)
    soil = material("#3b2a20", "#5a4332", noise=30, roughness=1.0, bump=0.9, bump_noise=35)
    green = material("#3f7d43", "#2f6b3c", noise=2.2, roughness=0.5, coat=0.1, bump=0.06, bump_noise=40, subsurface=0.1)
    spine = material("#f3e6c4", roughness=0.6)
    pink = material("#e2558f", "#f08cb3", noise=5, roughness=0.5, subsurface=0.2)
    yolk = material("#f4c542", roughness=0.7, bump=0.5)

    placed(lathe([(0, 0), (0.66, 0), (0.66, 0), (0.72, 0.03), (0.75, 0.1), (0.72, 0.1), (0.6, 0.08), (0, 0.08)], clay))
    outside = [(0, 0.07), (0.42, 0.07), (0.42, 0.07), (0.46, 0.1), (0.6, 0.66), (0.6, 0.66), (0.68, 0.67), (0.7, 0.7)]
    lathe([*outside, (0.73, 0.88), (0.71, 0.92), (0.65, 0.92), (0.62, 0.88), (0.6, 0.8)], clay)
    lathe([(0.62, 0.8), (0.4, 0.83), (0, 0.86)], soil)
    pick = random.Random(4)

    def stem(at: tuple[float, float, float], height: float, radius: float, tilt: tuple[float, float, float]) -> None:
        ribs = 14
        profile = [(0, 0), (0.55 * radius, 0.02), (0.86 * radius, 0.15 * height), (radius, 0.45 * height)]
        profile += [(0.97 * radius, 0.75 * height), (0.68 * radius, 0.94 * height), (0, height)]
        placed(lathe(profile, green, ribs=ribs, rib_depth=0.22, segments=14 * ribs), at, tilt)
        heights = np.linspace(0.12, 0.93, max(5, int(height / 0.11)))
        widths = np.interp(heights, [0, 0.15, 0.45, 0.75, 0.94, 1], [0.5, 0.86, 1, 0.97, 0.68, 0])
        ends = []
        for rib in range(ribs):
            angle = 2 * math.pi * rib / ribs
            for h, w in zip(heights, widths, strict=True):
                r = radius * w * 1.21
                for _ in range(4):
                    aim = angle + pick.uniform(-0.6, 0.6)
                    reach, rise = 0.055, pick.uniform(-0.035, 0.05)
                    base = np.array([r * math.cos(angle), r * math.sin(angle), h * height])
                    tip = base + np.array([reach * math.cos(aim), reach * math.sin(aim), rise])
                    ends.append((base, tip))
        placed(needles(ends, 0.006, spine), at, tilt)

    stem((0, 0, 0.8), 1.5, 0.40, (0, 0, 0))
    stem((0.40, -0.06, 1.35), 0.72, 0.19, (0, 24, 0))
    stem((-0.38, 0.02, 1.16), 0.56, 0.17, (0, -34, 0))

    def flower(at: tuple[float, float, float], size: float, tilt: tuple[float, float, float]) -> None:
        for ring, (count, lean) in enumerate(((9, 62), (8, 38))):
            for i in range(count):
                petal = placed(ball(1, pink), (0, 0, 0.16), scale=(0.07, 0.02, 0.17))
                placed(petal, (0, -0.03, 0.02 * ring), (lean, 0, 360 * (i + ring / 2) / count), 1.0)
                placed(petal, at, tilt, size)
        placed(placed(ball(0.075, yolk), (0, 0, 0.06)), at, tilt, size)

    flower((0, 0, 2.27), 1.15, (0, 0, 0))
    flower((0.70, -0.06, 2.0), 0.7, (0, 24, 0))


def rocket() -> None:
    """A toy rocket from a time when rockets had fins."""
    white = material("#f3efe6", "#e9e3d6", noise=4, roughness=0.3, coat=0.6, bump=0.03, bump_noise=10)
    red = material("#cf3a2c", "#bd3226", noise=4, roughness=0.28, coat=0.7, bump=0.03, bump_noise=10)
    navy = material("#22395f", roughness=0.3, coat=0.6)
    brass = material("#c99a45", "#b58636", noise=8, roughness=0.22, metal=1.0)
    glass = material("#7fc4e8", "#3c86bd", noise=2, roughness=0.05, coat=1.0)
    dark = material("#2a2c30", roughness=0.4, metal=0.8)

    def band(height: float, angle: float) -> int:
        if height > 2.42 or 1.02 < height < 1.09 or 2.30 < height < 2.37:
            return 1
        if 0.72 < height < 1.02:
            return 2 * ((int(angle / (2 * math.pi) * 24) + int((height - 0.72) / 0.15)) % 2)
        return 0

    body = [(0.0, 0.5), (0.3, 0.5), (0.3, 0.5), (0.44, 0.78), (0.55, 1.25), (0.56, 1.7), (0.46, 2.2), (0.28, 2.62)]
    lathe([*body, (0.1, 2.88), (0, 2.95)], white, red, navy, band=band, segments=288)
    tube([(0, 0, 2.93), (0, 0, 3.1)], [0.03, 0.018], brass)
    placed(ball(0.055, brass), (0, 0, 3.13))
    nozzle = [(0.16, 0.56), (0.2, 0.45), (0.3, 0.27), (0.34, 0.2), (0.31, 0.2), (0.2, 0.4), (0, 0.5)]
    lathe(nozzle, brass)
    lathe([(0.305, 0.47), (0.34, 0.5), (0.34, 0.54), (0.31, 0.57)], dark)
    fin = [(0.38, 1.14), (0.6, 0.98), (0.82, 0.72), (0.94, 0.4), (0.97, 0.03), (0.9, 0.0), (0.84, 0.03)]
    fin += [(0.74, 0.28), (0.58, 0.45), (0.33, 0.55)]
    for turn in (84, 204, 324):
        placed(slab(smooth_curve(fin, 6).tolist(), 0.11, 0.045, red), turn_deg=(0, 0, turn))
        placed(placed(ball(0.07, navy), (0.92, 0, 0.035), scale=(1, 1, 0.5)), turn_deg=(0, 0, turn))
    for height, size in ((1.86, 1.0), (1.4, 0.66)):
        reach = float(np.interp(height, [1.25, 1.7, 2.2], [0.55, 0.56, 0.46]))
        lean = float(np.interp(height, [1.4, 1.86], [90, 84]))
        placed(disc(0.23, 0.1, brass, 0.45), (0, -reach + 0.005, height), (lean, 0, 0), size)
        placed(ball(0.165, glass), (0, -reach - 0.02, height), (lean - 90, 0, 0), (size, 0.35 * size, size))
        for bolt in range(8):
            angle = 2 * math.pi * (bolt + 0.5) / 8
            at = (0.197 * size * math.cos(angle), -0.05 * size, 0.197 * size * math.sin(angle))
            stud = placed(ball(0.018 * size, dark), at)
            placed(stud, (0, -reach + 0.005, height), (lean - 90, 0, 0))


def teapot() -> None:
    """A stoneware teapot: speckled glaze above, bare clay below."""
    glaze = material(
        "#2c5a94", "#16243c", noise=34, mix_at=(0.66, 0.7), roughness=0.2, coat=0.8, bump=0.03, bump_noise=8
    )
    clay = material("#9c6b4a", "#8b5c3e", noise=9, roughness=0.85, bump=0.2, bump_noise=80)
    cream = material("#eee3cd", "#e2d5ba", noise=6, roughness=0.3, coat=0.5)
    wood = material("#a8703a", "#7c4c22", noise=3, stretch=(6, 6, 1), roughness=0.5, coat=0.2)

    def band(height: float, angle: float) -> int:
        return 1 if height < 0.33 else 2 if height < 0.40 else 0

    body = [(0, 0), (0.52, 0), (0.52, 0), (0.6, 0.03), (0.84, 0.32), (0.9, 0.62), (0.78, 0.98), (0.5, 1.2)]
    lathe([*body, (0.42, 1.22), (0.38, 1.2)], glaze, clay, cream, band=band, segments=288)
    lathe([(0.46, 1.205), (0.47, 1.235), (0.40, 1.27), (0.22, 1.34), (0.0, 1.37)], glaze)
    lathe([(0.0, 1.35), (0.07, 1.36), (0.06, 1.42), (0.12, 1.5), (0.11, 1.58), (0, 1.61)], wood)
    spout = [(0.7, 0, 0.5), (0.98, 0, 0.66), (1.16, 0, 0.93), (1.34, 0, 1.14)]
    tube(spout, [0.24, 0.17, 0.115, 0.085], glaze)
    placed(disc(0.098, 0.06, glaze, 0.45), (1.375, 0, 1.182), (0, 40, 0))
    placed(disc(0.07, 0.06, material("#2b2019", roughness=0.9)), (1.378, 0, 1.186), (0, 40, 0))
    handle = [(-0.66, 0, 1.02), (-0.98, 0, 1.16), (-1.26, 0, 0.98), (-1.22, 0, 0.64), (-0.84, 0, 0.42)]
    tube(handle, [0.1, 0.085, 0.08, 0.085, 0.1], glaze)
