from nasmith.seeding import derive, generator


def test_derived_seeds_depend_on_the_whole_path_and_fit_31_bits():
    seeds = {derive(seed, "train", index) for seed in range(10) for index in range(100)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive(1, "a", 2) == derive(1, "a", 2) != derive(1, "b", 2)


def test_generators_of_the_same_path_draw_the_same():
    assert generator(3, "x").random() == generator(3, "x").random() != generator(3, "y").random()
