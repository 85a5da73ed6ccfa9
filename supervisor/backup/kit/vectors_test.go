package kit

// vector is a kit with its keys.
type vector struct{ words, entropy, identity, recipient, seed, key, id string }

var vectors = []vector{
	{
		"tuna brisk until risk prevent cliff comfort agent wild table bronze sick",
		"ea638bb8dd3aa455cb8827fb1b9c72e3",
		"AGE-SECRET-KEY-1MMP49URWCUE6RL5S4H5A4WKLK4YK0R4WRCNK2RA2372QZWPKJXHQWYWH2T",
		"age10s3f9r6w5ssuvpv38wytwpk8hrfcwggt589al9slm4qwd0gue53sk8cqty",
		"4e1e72ffaf5fc8fb33e046d9f742926b0456038f5e51762d8f8e6d54bc362b31", "cd1a593ab62a53c3a030817712c2b4b43ac2d9aa8096e604ae42f806c866e4db", "605c5c1464fd10cf",
	},
	{
		"implorer indexer associer tailler peuple justice laisser maximal cirer unique endroit élaborer",
		"7f70104d736b7f1222acbf31de714da7",
		"AGE-SECRET-KEY-18AEG7ZUJYMW290XJG733V4DUP7V09P0DVMLDGP9EA9L6HHU42FZSW97R6F",
		"age18r48zj5hdyy7uzxng5k0rgrhdp0etjksweyyu089dnc2fqfeuqls5mm6gg",
		"be5491c60af1b4f9daf0851e298cc371ff40112470916b1a55a5333b3412c555", "403711f388fe26964562ad4f96448254d2085063bc559c6fa87031156db28a8e", "3d0bd7c7ca832d3c",
	},
	{
		"abdomen pedal careta curioso escolar dorado conocer alto maniquí tocino mover lejano",
		"0035c4ac9f24f28c8df05387fd3650be",
		"AGE-SECRET-KEY-15EW34CFSEHA0DG5SUDSE3X6PWJVN44YPQ4V0QQTX2CMG7YA5RKNS29653R",
		"age1q6r0hphgf0kzzzlm70rqrkhxgq73tq6hksk4n35lr9ddsuq62fgq0qjuaf",
		"b68355a19f673fe32e3569746b73f4099a12e359dc930e8e735f6ca3ad258b83", "f184a7bd3b98e7bf57fcebe382bad3c35df04b3d6bf30d224969734b9df72b10", "8537cc119362e69e",
	},
}
