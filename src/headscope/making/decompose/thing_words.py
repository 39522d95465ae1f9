"""Words by class, as far as the rules of decomposition know English: what a name of a thing may hold."""

from __future__ import annotations


def words_of(text: str) -> frozenset[str]:
    """The words of a text, apart at blanks."""
    return frozenset(text.split())


# In no name at all: articles, pronouns, verbs, numbers, places, comparisons, words of instructions.
FUNCTION_WORDS = words_of("""
a an the this that these those of for and or but nor than as if it its his her hers their our your my he she
they we you i who whom whose which what where when why how there here is are was were be been being am isn
aren wasn weren do does did don doesn didn has have had having can could will would shall should may might
must not no nobody nothing none any some every each all both either neither other another same such only just
exactly about approximately one two three four five six seven eight nine ten eleven twelve several many much
few fewer more most less least first second third fourth fifth sixth last next left right leftmost rightmost
top bottom upper lower middle center centre front back side sides edge edges corner corners part half end
background foreground picture pictures image images photo photos photograph photographs scene view camera
viewer frame foremost base yes true false please choose answer select option options following statement
question visible another
""")
# In no name either: prepositions, particles and words of relations. "Down" and "round" may be things.
RELATION_WORDS = words_of("""
above across after against ahead along alongside amid among around aside astride at atop away before behind
below beneath beside besides between beyond by close despite down during except far farther further from in
inside into like near nearby off on onto opposite out outside over past per since through throughout till to
together toward towards under underneath until up upon upside via with within without adjacent attached
connected detached parallel perpendicular congruent facing surrounding surrounded touching contains contain
containing consists consist enclosed hidden closer nearer nearest closest farthest furthest
""")
ADVERBS = words_of("""
now today tonight yesterday currently also too already still yet very really quite again instead once twice
often always never ever almost nearly rather maybe perhaps even so then thus else nowhere somewhere anywhere
everywhere outdoors indoors upstairs downstairs apart alone there hardly barely anymore though however
""")
COMPARED = words_of("""
bigger larger smaller taller shorter longer wider broader thinner thicker higher deeper darker brighter older
younger heavier newer faster slower better worse best worst greater narrower fatter rounder
""")
# Words in -est that are no superlatives.
NOUNS_IN_EST = words_of("""
chest nest vest forest guest west crest quest test pest harvest priest rest arrest breast request conquest
protest contest interest tempest fest jest dest rainforest headrest armrest footrest bequest
""")
# Words in -ing that are things.
NOUNS_IN_ING = words_of("""
building painting ceiling clothing railing awning lighting drawing swing string king ring wing spring thing
duckling frosting dressing stuffing wedding sling earring pudding dumpling offspring seedling stocking icing
siding flooring lightning sibling evening morning rigging bedding carving engraving bling filling topping
casing tubing wiring scaffolding coating bunting shingling piling herring starling sapling crossing landing
""")
# Words in -ed of things.
NOUNS_IN_ED = words_of("bed shed seed reed sled weed feed breed steed moped toolshed seabed riverbed flatbed")
# Words in -ly of things.
NOUNS_IN_LY = words_of("fly butterfly dragonfly family belly jelly lily dolly trolly holly doily gully bully")
# Never the last word of a name: what may be said of a thing after its name ("... near the plate broken").
ADJECTIVES = words_of("""
red blue green yellow black white brown gray grey pink purple violet cyan magenta beige turquoise maroon navy
teal tan crimson scarlet golden silvery bronze blond blonde colorful colourful transparent opaque translucent
big large small little tiny huge giant gigantic tall short long high low wide narrow thick thin deep shallow
fat slim skinny round rectangular triangular circular spherical cubic cylindrical hexagonal elliptical
straight curved crooked bent flat sharp blunt pointed pointy old young new ancient modern antique vintage
wooden metallic plastic rubber leather woolen ceramic concrete steel golden matte shiny glossy smooth rough
soft hard fluffy furry hairy bald fuzzy woolly spotted striped plain clean dirty dusty muddy wet dry damp
moist frozen hot cold warm cool icy snowy sandy grassy rusty open closed shut ajar full empty half-full alive
dead asleep awake alert drunk sober sick ill healthy injured happy sad angry upset bored tired calm scared
afraid nervous proud hungry thirsty busy idle still motionless silent quiet loud noisy broken intact whole cut
torn ripped cracked damaged new used worn fresh ripe unripe rotten raw cooked burnt stale edible delicious
tasty sweet sour salty spicy bright dark dim lit unlit bare naked nude barefoot shirtless leafless blank clear
cloudy foggy sunny rainy stormy windy present absent missing available ready real fake genuine artificial
natural wild tame domestic male female same different similar identical equal unequal symmetrical safe
dangerous stable unstable steady upright vertical horizontal diagonal upright lopsided level uneven sideways
backward backwards forward forwards inverted loose tight taut slack heavy light-weight lightweight strong weak
fast slow quick rapid stationary nice pretty beautiful ugly cute handsome lovely good bad great fine perfect
normal strange weird odd funny silly friendly elderly lonely early late main major minor single double triple
adult teenage pregnant blind deaf lame mature mine yours open-mouthed blurry blurred sharp unattended
unoccupied occupied vacant free locked unlocked on-duty afloat aboard aloft adrift aflame ablaze aglow agape
upside-down legible readable recognizable american english french italian german chinese japanese mexican
polar electric electronic digital solar residential commercial public private tropical rural urban
seen shown held stuck hung kept lost thrown driven ridden eaten written drawn tied laid fallen hidden folded
unfolded rolled stacked chained parked wrapped unwrapped caught made built fed spread split shaven woven sunk
""")
# What stands as a mass: "Is the liquid in the glass water?" says what it is.
MASSES = words_of("""
water milk juice wine beer coffee tea soda snow sand grass wood metal paper fabric food rice bread soup sauce
meat fruit ice mud dirt cheese butter sugar salt oil smoke steam glass gold silver iron copper wool cotton
""")
# "A cup of tea", "a vase of flowers", "a pair of scissors".
MEASURES = words_of("""
cup glass mug bottle bowl plate vase stack pile pair piece slice box bag basket jar pot can bunch row herd
flock group bouquet tray bucket pitcher carton loaf roll sheet bundle jug crate barrel tub dish platter heap
set team crowd school pack line bed block cluster bar cube
""")
# What "in the air", "at a party", "on the way" are about: no things that a picture shows at a place.
NO_THINGS = words_of("""
air rain shade dark darkness distance sunlight wind world way process morning afternoon evening night day week
year time moment mood act wild reach charge search fight race game match party walk move run hurry
motion action trouble kind type sort color colour size position direction location order number amount
""")
# "In" these somebody is dressed: nothing is inside anything.
CLOTHES = words_of("""
shirt tshirt t-shirt blouse sweater jacket coat suit vest dress skirt pants jeans shorts trousers uniform robe
costume bikini swimsuit hoodie tuxedo gown kimono pajamas raincoat shoes boots sandals hat helmet glasses
""")
