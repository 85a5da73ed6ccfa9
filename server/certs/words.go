package certs

import (
	"crypto/sha256"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
)

// The words of a fingerprint: one for each value of a byte, in the order of the
// lists, which never changes. They are short, known to everybody, written without
// accents, unlike one another, and say nothing unkind in any order.
var words = map[hint.Lang][]string{hint.EN: strings.Fields(englishWords), hint.FR: strings.Fields(frenchWords)}

// Words are the beginning of the fingerprint of a certificate, given as DER, as four
// plain words: one byte each.
func Words(der []byte, l hint.Lang) []string {
	sum := sha256.Sum256(der)
	return wordsFor(sum[:4], l)
}

func wordsFor(bytes []byte, l hint.Lang) []string {
	list, ok := words[l]
	if !ok {
		list = words[hint.EN]
	}
	out := make([]string, len(bytes))
	for i, b := range bytes {
		out[i] = list[b]
	}
	return out
}

const englishWords = `
acorn actor album alley amber angel ankle apple apron arch arrow atlas aunt autumn award bacon
badge bagel baker wagon bamboo banana banjo barn basket beach beard beaver beetle bell wood berry
bike bird biscuit blanket boat bonnet book bottle bowl bracelet branch bread brick bridge broom bubble
bucket bus butter button cabin cactus winter camel camera candle canoe cap carpet carrot castle cedar
cello chain tulip chalk cheese cherry chess chimney circus citrus clay cliff clock cloud clover coast
coffee trumpet comet cookie coral walnut cotton cousin cradle crane crayon cricket crown wheel curtain daisy
dance desert desk diamond dinner dolphin donkey door dragon drawer drum duck eagle easel echo elbow
elephant engine envelope fabric falcon farm feather fence fern fiddle field finger fire flag flute sugar
forest fork fountain fox frost galaxy garden garlic gate thistle giraffe glacier glove zebra gold grape
grass guitar hammer harbor harp hat hazel hedge helmet heron hill honey horse velvet igloo iris
island ivory jacket jelly jewel jigsaw juice jungle kettle kitchen kite kiwi ladder lagoon lake lamp
lantern laurel leaf lemon letter library lily lizard llama lobster maple marble market meadow melon mirror
mitten moon moss spring museum music napkin needle nest noodle north nutmeg oak oasis ocean olive
onion opera orange orchid otter window oyster paddle palace panda paper turtle whale pearl pencil pepper
piano pillow pine planet plum pocket pond poppy potato pumpkin puppet quilt rabbit radio rain ribbon
river robin ticket tomato salad scarf school shell spoon squirrel star summer swan table tiger violin
`

const frenchWords = `
abeille abricot renne aigle ruban algue amande ami ananas rivage anneau vague arche argent armoire atelier
safran avion avocat bague balai balcon baleine vase bambou banane banc barque bateau berger beurre biche
bijou biscuit bison blouse bocal bois bonnet botte bouchon bougie bouquet savon branche brique brosse bulle
bureau cabane cactus cadeau cadran caillou camion canal canard canoe carafe carotte carte castor cerise chaise
chalet sifflet chant soleil chateau chemin chene cheval chien chocolat cigale cigogne ciment cintre citron clairon
violon clef cloche clou cochon coffre collier colline comete concert copain coquille corail corbeau sucre coton
coude coussin tapis craie crayon crevette cube cuisine cygne dauphin dent dentelle dessin diamant disque domino
drapeau tigre echelle eclair ecole ecureuil elephant email encre epaule epi erable escalier etoile eventail fable
facteur faisan falaise farine faucon fenetre ferme feuille ficelle figue flamme fleur fleuve flocon flute foin
foret fourmi fraise frere fromage fusee galet gant gare saule gazon genou girafe glace tomate gorille
goutte tortue grenier griffe guitare hamac harpe herbe heron hibou hiver horloge huitre igloo iris jade
jambon jardin jasmin jouet journal jumelle jupe kiwi koala lac laine laitue lampe lanterne lapin laurier
lavande legume lierre lilas lion livre loutre lune lutin luth magie maison manteau marbre mardi marin
melon menthe miel miroir montagne mouette moulin moustache mouton musique myrtille nappe navire neige nid noisette
nuage ocean oie olive ombre opale tulipe orange orchestre oreille ours paille palmier panda vanille papier
parfum peigne peluche perle phare piano pigeon pinceau plage plume poire pomme poney prune radis renard
`
